"""What a person sees, and the same facts for a machine. Each room's facts become JSON here, and text from that JSON."""
