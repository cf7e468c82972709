"""A model at work: images, folders, videos and streams → detections, and files of them."""

from .loading import load, predict
from .predictor import Prediction, Predictor, StageSeconds

__all__ = ["Prediction", "Predictor", "StageSeconds", "load", "predict"]
