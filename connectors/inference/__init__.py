"""Values whose source declares no types for them: what they are is inferred, so that none is altered."""
