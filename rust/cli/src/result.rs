//! Reading the engine's results (docs/json.md), of which any part may be absent.

use serde_json::Value;

pub fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

pub fn exit_code(result: &Value) -> u8 {
    result["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or_default()
}

/// A JSON value's text for a table; `-` where there is none.
pub fn or_dash(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
