"""Building blocks of networks that know no modality."""
