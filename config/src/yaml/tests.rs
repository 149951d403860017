//! Tests of the YAML front.
