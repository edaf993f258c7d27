"""What every line measures with: intervals of figures, resampling, and areas of polygons."""
