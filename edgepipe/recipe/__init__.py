"""A model and a data file to a whole pipeline file: look, guess, say what was guessed, write."""

from edgepipe.recipe.data import DataGuess, look_at_data
from edgepipe.recipe.model import ModelGuess, look_at_model
from edgepipe.recipe.write import render

__all__ = ["DataGuess", "ModelGuess", "look_at_data", "look_at_model", "render"]
