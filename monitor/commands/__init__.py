"""What stands behind each ``bedside COMMAND``, and what of this machine a screen is given: settings, looks, runs."""
