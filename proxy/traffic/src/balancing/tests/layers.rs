//! Layers: priorities, panic, localities, zones, subsets, slow start.
