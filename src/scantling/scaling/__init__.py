"""What models cost, and how they are cut to the size of a device."""
