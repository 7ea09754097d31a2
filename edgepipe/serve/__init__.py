"""HTTP over the runtime: ``edgepipe serve BUNDLE``."""
