"""The monitor's side of Bedside: records a run, judges it, and shows it. Never imports torch."""
