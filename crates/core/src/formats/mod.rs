//! Text formats that others define, and small parsers and writers for them. A leaf: nothing here depends on modules.

pub mod dotenv;
pub(crate) mod file_name;
pub mod json_fields;
pub mod python_json;
pub mod shell_word;
pub mod upper_snake_case;
pub mod yaml;
mod yaml_node;
pub(crate) mod yaml_scalar;
mod yaml_tags;
