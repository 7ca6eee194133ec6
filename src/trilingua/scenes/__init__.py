"""The structured-scene data model: schema, scene, relations, matching, programs, and their files."""
