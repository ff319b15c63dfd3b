"""The commands of ``patronus``, one module each; the group imports them when they are used."""
