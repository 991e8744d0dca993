//! The shape of the tables of names.

/// A name that leaves the process, with its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name on the wire.
    pub name: &'static str,
    /// OTLP type of an attribute; unit of a metric.
    pub kind: &'static str,
    /// Data of a metric (gauge, sum, histogram); empty for an attribute.
    pub data: &'static str,
    /// Meaning, bounds and source, in Markdown.
    pub meaning: &'static str,
}

/// Declares constants and lists them in a table with their documentation, so that a name without one cannot exist.
macro_rules! names {
    ($(#[$table_doc:meta])* $table:ident { $($constant:ident = $name:literal, $kind:literal, $data:literal, $meaning:literal;)* }) => {
        $(
            #[doc = concat!("`", $name, "` (", $kind, "): ", $meaning)]
            pub const $constant: &str = $name;
        )*
        $(#[$table_doc])*
        pub const $table: &[$crate::table::Entry] = &[
            $($crate::table::Entry { name: $name, kind: $kind, data: $data, meaning: $meaning },)*
        ];
    };
}

pub(crate) use names;
