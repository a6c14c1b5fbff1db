//! Text formats that others define, and small readers of them. A leaf: nothing here knows what a module is.

pub mod dotenv;
pub mod json_fields;
pub mod python_json;
pub mod upper_snake_case;
pub mod yaml;
