//! What of a server's message may be told.

/// The primary message without the value that it quotes, as those of class 22 (data exceptions) do; the value may hold
/// quotes itself.
pub fn without_value(sqlstate: &str, message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last && sqlstate.starts_with("22") => {
            format!("{}\"…{}", &message[..first], &message[last..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_show_the_value() {
        assert_eq!(
            without_value("22P02", "invalid input syntax for type integer: \"a \"secret\" b\""),
            "invalid input syntax for type integer: \"…\""
        );
        assert_eq!(
            without_value("22003", "value \"99\" is out of range for type integer"),
            "value \"…\" is out of range for type integer"
        );
        assert_eq!(without_value("42703", "column \"a\" does not exist"), "column \"a\" does not exist");
    }
}
