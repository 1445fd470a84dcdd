"""What every room uses: keyed random numbers, files, devices, numbers, progress."""
