"""Where torch lives: models in, trained models out; nothing here knows stages or the run."""
