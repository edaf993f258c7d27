"""What the generators of several lines share: degradations, backgrounds, fonts and ink."""
