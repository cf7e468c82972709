"""How a model learns: recipe, plan of steps, schedule, loop, averaging, the state of a run."""
