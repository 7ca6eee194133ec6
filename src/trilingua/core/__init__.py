"""What every floor stands on: errors, files, random streams, configuration, presets."""
