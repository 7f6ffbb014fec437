"""What an edit would do, told before anyone makes it: the planner itself, run against a cluster in which all goes well. Pure."""

from inference_operator.forecast.changes import Change, changes
from inference_operator.forecast.run import Forecast, Round, forecast, settled
from inference_operator.forecast.text import render
from inference_operator.forecast.world import empty

__all__ = ["Change", "Forecast", "Round", "changes", "empty", "forecast", "render", "settled"]
