//! One list for all that has a number and a name on the wire.

/// An enum whose variants have the numbers of the wire: with all of them, with what a number stands for, and
/// with the name of each. What is new is in all three at once.
macro_rules! numbered {
    (
        $(#[$of_enum:meta])*
        pub enum $enum:ident {
            $($(#[$of_variant:meta])* $variant:ident = $number:literal $name:literal,)+
        }
    ) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum $enum {
            $($(#[$of_variant])* $variant = $number,)+
        }

        impl $enum {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What a number stands for, if this version knows it.
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The stable name, as in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

pub(crate) use numbered;
