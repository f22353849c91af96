"""The version of the pack, as calibration files name it."""

VERSION = "0.1.0"
