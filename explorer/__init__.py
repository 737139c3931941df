"""VoVNet Explorer: train VoVNet detectors, measure them, and look into what they see and miss."""

__version__ = "0.1.0"
