"""What ``patronus bench`` measures: the product on the user's machine, beside its peers."""
