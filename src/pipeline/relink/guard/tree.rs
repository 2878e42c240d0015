//! The entries of an object's debug information that tell of types, of functions' signatures
//! and of statics; the rest (function bodies, lines, scopes) is passed over.

use anyhow::Context;
use gimli::{AttributeValue, DwAt, DwTag, EntriesRaw, UnitHeader, constants as dw};

use super::sections::{Place, Sections, Slice};

/// So many parameters tell how a unit is compiled.
const PARAMETERS_LOOKED_AT: usize = 64;

/// What an entry describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A codegen unit.
    Unit,
    /// A crate, a module, a function as the scope of items, an `impl`.
    Namespace,
    /// A struct, a tuple, an enum with data, the environment of a closure.
    Struct,
    /// A union.
    Union,
    /// An enum without data.
    Enumeration,
    /// One of its variants.
    Enumerator,
    /// A field.
    Member,
    /// The variants of an enum with data.
    VariantPart,
    /// One of them.
    Variant,
    /// A generic argument.
    TypeParameter,
    /// An integer, a float, `bool`, `char`.
    Base,
    /// A thin pointer or reference.
    Pointer,
    /// An array.
    Array,
    /// Its length.
    Range,
    /// What a function pointer points to.
    FunctionType,
    /// A function.
    Function,
    /// A parameter of one.
    Parameter,
    /// A static, or a table of methods.
    Variable,
}

/// An entry.
#[derive(Debug, Clone, Copy)]
pub struct Die<'a> {
    /// What it describes.
    pub kind: Kind,
    /// The index of the entry around it.
    pub parent: u32,
    /// The index behind the last entry inside it.
    pub end: u32,
    /// Only announced, described elsewhere.
    pub declaration: bool,
    /// Its name; empty where it has none.
    pub name: &'a [u8],
    /// Its symbol, where that is not the name.
    pub linkage: &'a [u8],
    /// Its size in bytes.
    pub size: u64,
    /// Its alignment in bytes; 0 where that is not told.
    pub align: u32,
    /// A field's offset, a variant's discriminant, an array's length.
    pub value: Option<i64>,
    type_at: u32,
}

/// The entries of an object, in the order of the section; index 0 stands for no entry.
pub struct Tree<'a> {
    /// The sections they were read from.
    pub sections: &'a Sections<'a>,
    /// The entries.
    pub dies: Vec<Die<'a>>,
    offsets: Vec<u32>,
    places: Vec<(usize, Place)>,
    /// How many parameters are on the stack, among those of which this was looked at.
    on_stack: (usize, usize),
}

impl<'a> Tree<'a> {
    /// Reads the entries.
    ///
    /// # Errors
    /// Where the debug information is malformed or in a form that is not known.
    pub fn read(sections: &'a Sections<'a>) -> anyhow::Result<Self> {
        let dies = vec![Die::new(Kind::Unit)];
        let tree = Tree { sections, dies, offsets: vec![0], places: Vec::new(), on_stack: (0, 0) };
        let mut reader = Reader { tree, open: Vec::new() };
        let mut units = sections.info().units();
        let what = || {
            format!("the debug information of {} is not understood", sections.object.path.display())
        };
        while let Some(header) = units.next().with_context(what)? {
            reader.unit(&header).with_context(what)?;
        }
        Ok(reader.tree)
    }

    /// The entry's type, as an index.
    pub fn type_of(&self, die: usize) -> Option<usize> {
        self.find(self.dies[die].type_at)
    }

    /// Where a static stands.
    pub fn place(&self, die: usize) -> Option<Place> {
        self.places.iter().find(|(d, _)| *d == die).map(|(_, place)| *place)
    }

    /// Whether the code puts its functions' parameters on the stack as they come, be they used or
    /// not: it is not optimised.
    pub fn stores_parameters(&self) -> bool {
        self.on_stack.0 * 2 > self.on_stack.1
    }

    fn find(&self, offset: u32) -> Option<usize> {
        if offset == 0 {
            return None;
        }
        self.offsets.binary_search(&offset).ok()
    }

    /// The entries directly inside another one.
    pub fn children(&self, die: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.dies[die].end as usize;
        let mut at = die + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(at)?;
            at = self.dies[child].end as usize;
            Some(child)
        })
    }

    /// The indices of all entries of one kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = usize> + '_ {
        self.dies.iter().enumerate().filter(move |(_, d)| d.kind == kind).map(|(i, _)| i)
    }

    /// Whether any type is described.
    pub fn has_types(&self) -> bool {
        const TYPES: [Kind; 5] =
            [Kind::Struct, Kind::Union, Kind::Enumeration, Kind::Base, Kind::Pointer];
        self.dies.iter().any(|d| TYPES.contains(&d.kind))
    }

    /// The symbol name of a function or static.
    pub fn symbol(&self, die: usize) -> &'a [u8] {
        let die = &self.dies[die];
        let compiled = if die.linkage.is_empty() { die.name } else { die.linkage };
        self.sections.object.name_now(compiled)
    }
}

impl Die<'_> {
    fn new(kind: Kind) -> Self {
        Die {
            kind,
            parent: 0,
            end: 1,
            declaration: false,
            name: &[],
            linkage: &[],
            size: 0,
            align: 0,
            value: None,
            type_at: 0,
        }
    }
}

/// What is true of all entries of a unit.
struct Unit<'h, 'a> {
    header: &'h UnitHeader<Slice<'a>>,
    start: usize,
    str_offsets: gimli::DebugStrOffsetsBase,
    addresses: u64,
}

struct Reader<'a> {
    tree: Tree<'a>,
    /// The entries around the current one: depth and index.
    open: Vec<(isize, usize)>,
}

impl<'a> Reader<'a> {
    fn unit(&mut self, header: &UnitHeader<Slice<'a>>) -> anyhow::Result<()> {
        let abbreviations = header.abbreviations(&self.tree.sections.abbreviations())?;
        let start = header.debug_info_offset().context("a type unit")?.0;
        let mut unit = Unit {
            header,
            start,
            // Where there is no base, the first table of the section is meant, behind its header.
            str_offsets: gimli::DebugStrOffsetsBase(8),
            addresses: 8,
        };
        let mut raw = header.entries_raw(&abbreviations, None)?;
        let mut passing = isize::MAX;
        while !raw.is_empty() {
            let (depth, offset) = (raw.next_depth(), (start + raw.next_offset().0) as u32);
            let Some(abbreviation) = raw.read_abbreviation()? else { continue };
            if depth > passing {
                self.pass_over(&mut raw, abbreviation)?;
                continue;
            }
            passing = isize::MAX;
            self.close(depth);
            let parent = self.open.last().map_or(0, |(_, index)| *index);
            let Some(kind) = kept(abbreviation.tag(), self.tree.dies[parent].kind) else {
                passing = depth;
                raw.skip_attributes(abbreviation.attributes())?;
                continue;
            };
            let index = self.tree.dies.len();
            let mut die = Die { parent: parent as u32, ..Die::new(kind) };
            self.attributes(&mut raw, abbreviation.attributes(), &mut unit, &mut die)?;
            if kind == Kind::Function && die.name.is_empty() {
                // The body of something that was declared before, with name and parameters.
                passing = depth;
                continue;
            }
            self.tree.dies.push(Die { end: index as u32 + 1, ..die });
            self.tree.offsets.push(offset);
            self.open.push((depth, index));
        }
        self.close(isize::MIN);
        Ok(())
    }

    /// Passes over an entry inside of a function's body.
    fn pass_over(
        &mut self,
        raw: &mut EntriesRaw<'_, Slice<'a>>,
        abbreviation: &gimli::Abbreviation,
    ) -> anyhow::Result<()> {
        let enough = self.tree.on_stack.1 >= PARAMETERS_LOOKED_AT;
        if enough || abbreviation.tag() != dw::DW_TAG_formal_parameter {
            return Ok(raw.skip_attributes(abbreviation.attributes())?);
        }
        for spec in abbreviation.attributes() {
            let value = raw.read_attribute(*spec)?.raw_value();
            if spec.name() == dw::DW_AT_location {
                self.parameter_at(&value);
            }
        }
        Ok(())
    }

    fn parameter_at(&mut self, location: &AttributeValue<Slice<'a>>) {
        let expression = match location {
            AttributeValue::Exprloc(expression) => expression.0.slice(),
            AttributeValue::Block(block) => block.slice(),
            _ => &[],
        };
        let on_stack = expression.first() == Some(&dw::DW_OP_fbreg.0);
        self.tree.on_stack.0 += usize::from(on_stack);
        self.tree.on_stack.1 += 1;
    }

    fn close(&mut self, depth: isize) {
        while self.open.last().is_some_and(|(open, _)| *open >= depth) {
            if let Some((_, index)) = self.open.pop() {
                self.tree.dies[index].end = self.tree.dies.len() as u32;
            }
        }
    }

    fn attributes(
        &mut self,
        raw: &mut EntriesRaw<'_, Slice<'a>>,
        specs: &[gimli::AttributeSpecification],
        unit: &mut Unit<'_, 'a>,
        die: &mut Die<'a>,
    ) -> anyhow::Result<()> {
        for spec in specs {
            let attribute = raw.read_attribute(*spec)?;
            self.attribute(spec.name(), attribute.raw_value(), unit, die)?;
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        name: DwAt,
        value: AttributeValue<Slice<'a>>,
        unit: &mut Unit<'_, 'a>,
        die: &mut Die<'a>,
    ) -> anyhow::Result<()> {
        match name {
            dw::DW_AT_name if is_named(die.kind) => die.name = self.string(value, unit)?,
            // The second one is what it was called before DWARF 4, which Android's targets use.
            dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => {
                die.linkage = self.string(value, unit)?;
            }
            dw::DW_AT_type => die.type_at = reference(&value, unit.start),
            dw::DW_AT_byte_size => die.size = value.udata_value().unwrap_or(0),
            dw::DW_AT_alignment => die.align = value.udata_value().unwrap_or(0) as u32,
            dw::DW_AT_data_member_location => die.value = member_offset(&value, unit),
            dw::DW_AT_discr_value | dw::DW_AT_const_value | dw::DW_AT_count => {
                die.value = integer(&value)
            }
            dw::DW_AT_upper_bound => die.value = integer(&value).map(|v| v + 1),
            dw::DW_AT_declaration => die.declaration = true,
            dw::DW_AT_location if die.kind == Kind::Variable => {
                let place = self.place(&value, unit);
                self.tree.places.extend(place.map(|p| (self.tree.dies.len(), p)));
            }
            dw::DW_AT_location if die.kind == Kind::Parameter => self.parameter_at(&value),
            dw::DW_AT_str_offsets_base => {
                if let AttributeValue::SecOffset(base) = value {
                    unit.str_offsets = gimli::DebugStrOffsetsBase(base);
                }
            }
            dw::DW_AT_addr_base => {
                if let AttributeValue::SecOffset(base) = value {
                    unit.addresses = base as u64;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn string(
        &self,
        value: AttributeValue<Slice<'a>>,
        unit: &Unit<'_, 'a>,
    ) -> anyhow::Result<&'a [u8]> {
        let sections = self.tree.sections;
        let slice = match value {
            AttributeValue::String(slice) => slice,
            AttributeValue::DebugStrRef(at) => return sections.string(at.0),
            AttributeValue::DebugLineStrRef(at) => sections.line_strings().get_str(at)?,
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let offsets = sections.str_offsets();
                let at = offsets.get_str_offset(unit.header.format(), unit.str_offsets, index)?;
                return sections.string(at.0);
            }
            other => anyhow::bail!("a name in the form {other:?}"),
        };
        Ok(slice.slice())
    }

    /// The place that an expression of one address gives.
    fn place(&self, value: &AttributeValue<Slice<'a>>, unit: &Unit<'_, 'a>) -> Option<Place> {
        let expression = expression(value)?;
        let sections = self.tree.sections;
        let mut operations = expression.operations(unit.header.encoding());
        match operations.next().ok()?? {
            gimli::Operation::Address { .. } => {
                sections.place_in_info(sections.offset_in_info(expression.0) + 1)
            }
            gimli::Operation::AddressIndex { index } => {
                let width = u64::from(unit.header.address_size());
                sections.place_in_addresses(unit.addresses + index.0 as u64 * width)
            }
            _ => None,
        }
    }
}

/// What an entry is, where it is of interest.
fn kept(tag: DwTag, parent: Kind) -> Option<Kind> {
    let composite = matches!(parent, Kind::Struct | Kind::Union | Kind::Enumeration);
    let scope = composite || matches!(parent, Kind::Unit | Kind::Namespace);
    let kind = match tag {
        dw::DW_TAG_compile_unit | dw::DW_TAG_partial_unit => Kind::Unit,
        dw::DW_TAG_namespace => Kind::Namespace,
        dw::DW_TAG_structure_type | dw::DW_TAG_class_type => Kind::Struct,
        dw::DW_TAG_union_type => Kind::Union,
        dw::DW_TAG_enumeration_type => Kind::Enumeration,
        dw::DW_TAG_enumerator => Kind::Enumerator,
        dw::DW_TAG_member => Kind::Member,
        dw::DW_TAG_variant_part => Kind::VariantPart,
        dw::DW_TAG_variant => Kind::Variant,
        dw::DW_TAG_template_type_parameter => Kind::TypeParameter,
        dw::DW_TAG_base_type => Kind::Base,
        dw::DW_TAG_pointer_type | dw::DW_TAG_reference_type => Kind::Pointer,
        dw::DW_TAG_array_type => Kind::Array,
        dw::DW_TAG_subrange_type => Kind::Range,
        dw::DW_TAG_subroutine_type => Kind::FunctionType,
        dw::DW_TAG_subprogram if scope => Kind::Function,
        dw::DW_TAG_formal_parameter if matches!(parent, Kind::Function | Kind::FunctionType) => {
            Kind::Parameter
        }
        dw::DW_TAG_variable if scope => Kind::Variable,
        _ => return None,
    };
    Some(kind)
}

/// The offset in the section that a reference gives; 0 for none.
fn reference(value: &AttributeValue<Slice<'_>>, unit: usize) -> u32 {
    match value {
        AttributeValue::UnitRef(at) => (unit + at.0) as u32,
        AttributeValue::DebugInfoRef(at) => at.0 as u32,
        _ => 0,
    }
}

/// Whether the name of such an entry is of interest.
fn is_named(kind: Kind) -> bool {
    !matches!(kind, Kind::Unit | Kind::Parameter | Kind::TypeParameter | Kind::Range)
}

/// An expression, which before DWARF 4 was a block like any other.
fn expression<'a>(value: &AttributeValue<Slice<'a>>) -> Option<gimli::Expression<Slice<'a>>> {
    match value {
        AttributeValue::Exprloc(expression) => Some(*expression),
        AttributeValue::Block(block) => Some(gimli::Expression(*block)),
        _ => None,
    }
}

/// A field's offset: a number, or before DWARF 3 an expression that adds it.
fn member_offset(value: &AttributeValue<Slice<'_>>, unit: &Unit<'_, '_>) -> Option<i64> {
    let Some(expression) = expression(value) else { return integer(value) };
    match expression.operations(unit.header.encoding()).next().ok()?? {
        gimli::Operation::PlusConstant { value } => Some(value as i64),
        _ => None,
    }
}

/// A number. A discriminant has 16 bytes where the unused values are those of a 128-bit number.
fn integer(value: &AttributeValue<Slice<'_>>) -> Option<i64> {
    match value {
        AttributeValue::Sdata(v) => Some(*v),
        AttributeValue::Block(block) => {
            let (low, high) = block.slice().split_first_chunk::<8>()?;
            let high = high.first_chunk::<8>().map_or(0, |h| i64::from_le_bytes(*h));
            Some(i64::from_le_bytes(*low) ^ high.rotate_left(32))
        }
        other => other.udata_value().map(|v| v as i64),
    }
}
