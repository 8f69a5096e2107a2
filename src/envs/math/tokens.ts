/**
 * @file Cuts LaTeX into tokens, by longest match. What is not in the table is no mathematics: the text is then prose.
 * The vocabulary is that of latex2sympy2_extended 1.10.2, which math-verify reads with, so that the same texts count as
 * formulas and the same as prose.
 */

export interface Token {
  /** What the parser sees: `number`, `letter`, `function`, `+`, `(`, ... */
  type: string;
  text: string;
}

/** Greek letters in Unicode. Every command of the same name is one too; capitals fold into small letters later on. */
// prettier-ignore
const GREEK = new Map(
  Object.entries({
    α: 'alpha', β: 'beta', γ: 'gamma', Γ: 'gamma', δ: 'delta', Δ: 'delta', ε: 'epsilon', ϵ: 'varepsilon',
    ζ: 'zeta', η: 'eta', θ: 'theta', Θ: 'theta', ϑ: 'vartheta', ι: 'iota', κ: 'kappa', λ: 'lambda', Λ: 'lambda',
    μ: 'mu', ν: 'nu', ξ: 'xi', Ξ: 'xi', ο: 'omicron', π: 'pi', Π: 'pi', ϖ: 'varpi', ρ: 'rho', ϱ: 'varrho',
    σ: 'sigma', Σ: 'sigma', ς: 'varsigma', τ: 'tau', υ: 'upsilon', Υ: 'upsilon', φ: 'phi', Φ: 'phi', ϕ: 'varphi',
    χ: 'chi', ψ: 'psi', Ψ: 'psi', ω: 'omega', Ω: 'omega',
  }),
);

/** Symbols without a meaning of their own. */
const PLAIN_SYMBOLS =
  'nabla angle measuredangle sphericalangle triangle triangledown vartriangle blacktriangle square blacksquare lozenge ' +
  'blacklozenge Diamond diamondsuit heartsuit spadesuit clubsuit bigstar ell hbar hslash imath jmath wp Re Im prime ' +
  'backprime flat sharp natural surd eth mho complement nexists varnothing Finv Game Bbbk circledS diagup diagdown';

const UNARY_FUNCTIONS =
  'log ln exp sin cos tan csc sec cot arcsin arccos arctan arccsc arcsec arccot sinh cosh tanh arsinh arcosh artanh ' +
  'arcsinh arccosh arctanh floor ceil';

/** Commands that carry an argument in braces and only change how it looks, or put something above it. */
const ACCENTS =
  'acute bar overline breve check widecheck dot ddot grave hat tilde widetilde vec overrightarrow bm boldsymbol text ' +
  'textit textbf textnormal mathbb mathbin mathbf mathcal mathfrak mathit mathnormal mathop mathring mathrm mathscr ' +
  'mathsf mathtt mbox';

/** Words that are read as functions; outside \operatorname they fit nowhere, so text that holds one is prose. */
const RESERVED_WORDS = (
  'arsinh arcsinh arcosh arccosh artanh arctanh gcd lcm floor ceil eye zeros ones cols rows diag norm rank trace tr rref ' +
  'hstack vstack orth ortho orthogonal orthogonalize nullspace eig eigen diagonalize eigenvals eigenvalues eigenvects ' +
  'eigenvectors svd SVD matrix pmatrix bmatrix vmatrix'
).split(' ');

/** Exact texts to token types. */
const FIXED = new Map<string, string>();
function define(type: string, texts: string): void {
  for (const text of texts.split(' ')) FIXED.set(text, type);
}
define('skip', '\\, \\thinspace \\: \\medspace \\; \\thickspace \\quad \\qquad \\! \\negthinspace \\negmedspace');
define('skip', '\\negthickspace \\$ \\vrule \\vcenter \\vbox \\vskip \\vspace \\hfil');
define('+', '+ ∔ ⊕ ⊞');
define('-', '- − ∸');
define('*', '* × ⋅ ⋄ ⊡ ∗ ⋆ ∘ ∙ ⊗ ⊠ ⋈ ⋉ ⋊ \\times \\cdot');
define('/', '/ ÷ ∕ \\over \\div :');
define('mod', '\\mod');
define('=', '= ≡ ≣ ≟ ≎ ≏ ≐ ≑ ≒ ≓ ≔ ≕ ≖ ≗ == \\equiv');
define('≈', '~= ≈ ≊ ≋ ≃ ≅ \\approx');
define('<', '< ≪ ≺ ⋖ \\lt');
define('<=', '\\leq \\le \\leqslant ≤ ≦ ≲ ≾ <=');
define('>', '> ≫ ≻ ⋗ \\gt');
define('>=', '\\geq \\ge \\geqslant ≥ ≧ ≳ ≿ >=');
define('!=', '!= !== \\ne \\neq \\not\\equiv ≠ ≁ ≄ ≇ ≉ ≢');
define('in', '\\in');
define('notin', '\\notin ∉');
define('subset', '\\supseteq ⊇ \\subseteq ⊆');
define('union', '\\cup ∪');
define('intersection', '\\cap ∩');
define('difference', '\\setminus ∖');
define('±', '\\pm ± ∓ \\mp');
define('empty', '\\emptyset ∅ \\{\\} \\lbrace\\rbrace');
define('infinity', '\\infty \\infty% \\infty\\% \\$\\infty');
define('partial', '\\partial');
for (const text of ['(', ')', '[', ']', '{', '}', '|', '_', '^', ';', ',', '!', '&', '\\{', '\\}', '\\(', '\\)']) {
  FIXED.set(text, text);
}
define('\\\\', '\\\\');
define('\\|', '\\|');
define('[', '\\lbrack');
define(']', '\\rbrack');
define('lgroup', '\\lgroup');
define('rgroup', '\\rgroup');
define('lbrace', '\\lbrace');
define('rbrace', '\\rbrace');
define('lvert', '\\lvert');
define('rvert', '\\rvert');
define('vert', '\\vert');
define('lfloor', '\\lfloor \\llcorner');
define('rfloor', '\\rfloor \\lrcorner');
define('lceil', '\\lceil \\ulcorner');
define('rceil', '\\rceil \\urcorner');
define('langle', '\\langle');
define('rangle', '\\rangle');
define('frac', '\\frac \\dfrac \\tfrac \\cfrac');
define('binom', '\\binom \\tbinom \\dbinom');
define('choose', '\\choose');
define('sqrt', '\\sqrt');
define('box', '\\boxed \\phantom');
define('operatorname', '\\operatorname');
define('exp', 'e \\exponentialE');
define('E', 'E');
define('calculus', '\\int \\sum \\prod \\lim');
define('arrow', '\\to \\rightarrow \\Rightarrow \\longrightarrow \\Longrightarrow \\xrightarrow \\xRightarrow');
define('arrow', '<-> <=> \\leftrightarrow \\Leftrightarrow');
define('transpose', "^T ^{T} '");
define('degree', '^\\circ ^\\degree ^\\circle ^° ^{\\circ} ^{\\degree} ^{\\circle} ^{°}');
define('domain', '\\mathbb{N} ℕ \\mathbb{Z} ℤ \\mathbb{Q} ℚ \\mathbb{R} ℝ \\mathbb{C} ℂ');
define('det', '\\det');
define('matrix', '\\begin{matrix} \\begin{pmatrix} \\begin{bmatrix}');
define('endmatrix', '\\end{matrix} \\end{pmatrix} \\end{bmatrix} \\end{array}');
define('detmatrix', '\\begin{vmatrix}');
define('enddetmatrix', '\\end{vmatrix}');
for (const name of UNARY_FUNCTIONS.split(' ')) FIXED.set(`\\${name}`, 'function');
for (const name of ['gcd', 'lcm', 'max', 'min']) FIXED.set(`\\${name}`, 'manyfunction');
for (const name of PLAIN_SYMBOLS.split(' ')) FIXED.set(`\\${name}`, 'symbol');
for (const [letter, name] of GREEK) {
  FIXED.set(letter, 'symbol');
  FIXED.set(`\\${name}`, 'symbol');
  if (!name.startsWith('var')) FIXED.set(`\\${name[0]!.toUpperCase()}${name.slice(1)}`, 'symbol');
}
for (const capital of 'Alpha Beta Epsilon Zeta Eta Iota Kappa Mu Nu Omicron Rho Tau Chi'.split(' ')) {
  FIXED.delete(`\\${capital}`); // LaTeX has no commands for capitals that look Latin
}
for (const word of RESERVED_WORDS) FIXED.set(word, 'reserved');

const LONGEST = Math.max(...[...FIXED.keys()].map((text) => text.length));

/** Where each rule starts, tried in order; the longest match wins, and the earlier of two equal ones. */
const RULES: readonly [string, RegExp][] = [
  ['skip', /[ \t\r\n]+/y],
  ['matrix', /\\begin\{array\}\{[clr]*\}/y],
  ['differential', /d[ \t\r\n]*(?:[a-zA-Z]|\\[a-zA-Z]+)/y],
  ['letter', /[a-zA-Z]/y],
  ['number', /\d*\.\d+|\d+/y],
  ['scientific', /(?:\d*\.\d+|\d+)E[+-]?\d+/y],
  ['percent', /(?:\d*\.\d+|\d+)[ \t\r\n]?\\?%/y],
  ['accent', new RegExp(`\\\\(?:${ACCENTS.split(' ').join('|')})[ \\t\\r\\n]?\\{[^}]*\\}`, 'y')],
];

/** Tokens of a text; undefined where some of it is no token. */
export function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const token = tokenAt(text, at);
    if (!token) return undefined;
    if (token.type !== 'skip') tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

function tokenAt(text: string, at: number): Token | undefined {
  let best: Token | undefined;
  for (let length = Math.min(LONGEST, text.length - at); length > 0 && !best; length--) {
    const part = text.slice(at, at + length);
    const type = FIXED.get(part);
    if (type !== undefined) best = { type, text: part };
  }
  for (const [type, rule] of RULES) {
    rule.lastIndex = at;
    const [part] = rule.exec(text) ?? [];
    if (part !== undefined && part.length > (best?.text.length ?? 0)) best = { type, text: part };
  }
  return best;
}

/** The name of a Greek letter or another symbol, however it was written. */
export function symbolName(text: string): string {
  return GREEK.get(text) ?? text.replace(/^\\/, '');
}
