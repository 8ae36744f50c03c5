//! The one door: policy, approvals, quotas, grants, and the evidence leaf in the same commit
