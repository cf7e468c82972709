"""A model at work: images, folders, videos and streams → detections, and files of them."""

from .loading import load, predict
from .predictor import FilePrediction, Prediction, Predictor, StageSeconds

__all__ = ["FilePrediction", "Prediction", "Predictor", "StageSeconds", "load", "predict"]
