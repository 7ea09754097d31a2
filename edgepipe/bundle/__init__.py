"""What is in a bundle: the manifest, and the files it names."""
