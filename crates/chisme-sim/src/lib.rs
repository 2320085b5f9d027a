//! Clusters of nodes under virtual time.
