"""Plan, cache, run and judge: from a checked pipeline to a bundle, a report and a verdict."""
