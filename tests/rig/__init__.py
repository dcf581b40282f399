"""Real servers from Debian's packages, each on free ports with its own folder, ended with the test."""
