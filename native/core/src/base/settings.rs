//! Settings that a configuration gives by name. Those of a section are described once, beside
//! whoever obeys them; what crosses the border to them is the section as it is.

use std::collections::HashMap;

/// What a key says. Times are milliseconds, sizes are bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// On or off.
    Flag(bool),
    /// A number.
    Number(f64),
    /// One of several words.
    Word(String),
}

/// A section of a configuration.
pub struct Section {
    name: &'static str,
    values: HashMap<String, Value>,
}

impl Section {
    /// One whose keys nobody has read yet.
    pub fn new(name: &'static str, values: HashMap<String, Value>) -> Section {
        Section { name, values }
    }

    /// Reads a key; an error names it.
    pub fn take<T: Setting>(&mut self, key: &str) -> Result<T, String> {
        let Section { name, values } = self;
        let value = values.remove(key).ok_or_else(|| format!("{name}.{key} is missing"))?;
        T::read(&value).ok_or_else(|| format!("{name}.{key} cannot be {value:?}"))
    }

    /// Complains of a key that nobody has read.
    pub fn end(self) -> Result<(), String> {
        match self.values.keys().min() {
            Some(key) => Err(format!("{}.{key} is nothing that is known here", self.name)),
            None => Ok(()),
        }
    }
}

/// What a key may say.
pub trait Setting: Sized {
    /// None for what it may not.
    fn read(value: &Value) -> Option<Self>;
}

impl Setting for bool {
    fn read(value: &Value) -> Option<bool> {
        if let Value::Flag(flag) = value { Some(*flag) } else { None }
    }
}

impl Setting for u64 {
    fn read(value: &Value) -> Option<u64> {
        // Above 2^53 numbers of the configuration are not whole any more.
        let whole = |number: f64| (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64);
        if let Value::Number(number) = value { whole(*number) } else { None }
    }
}

impl Setting for usize {
    fn read(value: &Value) -> Option<usize> {
        u64::read(value)?.try_into().ok()
    }
}

/// Describes a section: each setting with the key that says it. A word of a choice is a case.
macro_rules! settings {
    ($(#[$note:meta])* struct $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty = $key:literal,)* }) => {
        $(#[$note])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$about])* pub $field: $kind),* }

        impl $name {
            /// Reads the section. An error says which key is missing, wrong or unknown.
            pub fn read(mut section: $crate::base::settings::Section) -> Result<$name, String> {
                let settings = $name { $($field: section.take($key)?),* };
                section.end()?;
                Ok(settings)
            }
        }
    };
    ($(#[$note:meta])* enum $name:ident { $($(#[$about:meta])* $case:ident = $word:literal,)* }) => {
        $(#[$note])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $case),* }

        impl $crate::base::settings::Setting for $name {
            fn read(value: &$crate::base::settings::Value) -> Option<$name> {
                let $crate::base::settings::Value::Word(word) = value else { return None };
                match word.as_str() {
                    $($word => Some($name::$case),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    settings! {
        /// A choice.
        enum Colour {
            /// The first.
            #[default]
            Red = "red",
            /// The other.
            Green = "green",
        }
    }

    settings! {
        /// One of each kind.
        struct All {
            /// Not as its key.
            is_on: bool = "enabled",
            /// A number.
            count: u64 = "count",
            /// A word.
            colour: Colour = "colour",
        }
    }

    fn section(values: &[(&str, Value)]) -> Section {
        Section::new("all", values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_section_is_read_by_its_keys_and_what_is_missing_wrong_or_unknown_is_named() {
        let good = [("enabled", Value::Flag(true)), ("count", Value::Number(7.0)), ("colour", Value::Word("green".to_owned()))];
        assert_eq!(All::read(section(&good)), Ok(All { is_on: true, count: 7, colour: Colour::Green }));
        let with = |key: &'static str, value: Value| {
            let mut values = good.to_vec();
            values.retain(|(other, _)| *other != key);
            values.push((key, value));
            All::read(section(&values)).unwrap_err()
        };
        assert_eq!(All::read(section(&good[1..])), Err("all.enabled is missing".to_owned()));
        assert_eq!(with("count", Value::Flag(true)), "all.count cannot be Flag(true)");
        for number in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert!(with("count", Value::Number(number)).starts_with("all.count cannot be Number("), "{number}");
        }
        assert_eq!(with("colour", Value::Word("blue".to_owned())), "all.colour cannot be Word(\"blue\")");
        assert_eq!(with("more", Value::Flag(true)), "all.more is nothing that is known here");
    }
}
