"""Classification of the user's own pictures, from folders or from tensorflow-datasets."""
