"""Raw values to ids of one vocabulary and back."""
