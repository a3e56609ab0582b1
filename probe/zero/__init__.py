"""A probe on a training whose script has no line for it: started under ``bedside run``, or running already."""
