"""Lighthouse looks at our pages: accessibility, jumps, first paint."""
