"""Model cost, scaling laws, device profiles, and the search for a model within a budget."""
