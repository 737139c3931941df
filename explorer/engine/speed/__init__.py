"""How long models, stages and modes take on this machine, and what they cost."""
