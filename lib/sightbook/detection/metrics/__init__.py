"""What detections are judged by."""
