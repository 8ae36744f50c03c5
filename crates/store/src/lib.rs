//! Two engines, one SQL: transactions that carry their tenant
