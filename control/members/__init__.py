"""Who takes part in the overlay, and what each says of itself to the others."""
