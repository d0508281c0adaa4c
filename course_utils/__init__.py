"""What the labs share: data, training, pictures and the small helpers of check cells."""
