"""Who calls, and how much each caller may ask for. Pure but for the limiter's clock."""
