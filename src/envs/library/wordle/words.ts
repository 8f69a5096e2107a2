/**
 * @file The words of wordle, written for this repository: five letters each, known to everybody. Secrets are in their
 * plain form; among what may be guessed are plurals, past tenses and rarer words too.
 */

const listed = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Words that are to be found. */
export const SECRETS: readonly string[] = listed(`
  actor adult agent alarm album alley amber angel angle apple apron arena armor arrow attic award bacon badge bagel
  baker basil basin beach beard beast bench berry birth black blade blaze blend blind block bloom board boast bonus
  booth brace braid brain brake brand brass brave bread breed brick bride brief brook broom brown brush bunch bunny
  cabin cable camel candy canoe cargo carol cedar chain chair chalk charm chart chase cheek chess chest chief child
  chord cider civil clamp clean clerk cliff cloak clock cloth cloud clown coach coast cobra cocoa coral couch cough
  court cover crack craft crane crash cream creek crest crime crisp crowd crown crumb crust curve cycle daisy dance
  diary diner dodge dough draft drain drama dream dress drill drink drive eagle earth elbow elder enemy entry equal
  event extra fable fairy faith fancy fault feast fence ferry fever fiber field flame flask fleet flesh float flock
  flood floor flour flute focus force forge forum frame fresh front frost fruit giant glass globe glory glove goose
  grace grade grain grape graph grass green grill group guard guest guide habit heart hedge hobby honey horse hotel
  house human humor image index inlet ivory jelly jewel joint judge juice knife knock label labor lance large laser
  latch layer leash ledge lemon level lever light lilac linen liver llama lobby local lodge logic lunch magic mango
  manor maple march marsh match mayor medal melon mercy merit metal meter model money month moral motor mount mouse
  mouth movie mural music nerve night noble noise north novel nurse ocean olive onion opera orbit order organ otter
  outer oxide paint panel paper party pasta paste patch pause peace peach pearl pedal penny phone photo piano piece
  pilot pitch pizza place plain plane plant plate plaza point poker polar poppy porch pouch pound power press price
  pride prize proof pulse pupil puppy purse queen quest quick quiet quilt quota radar radio ranch range razor reach
  realm relay rider ridge rifle rival river roast robin robot rodeo roman rough round route royal rugby ruler salad
  salon sauce scale scarf scene scent scoop scope score scout shade shark sharp sheep sheet shelf shell shirt shock
  shore short shrub siren skate skill skirt skull slate sleep slice slope small smile smoke snack snail snake sound
  south space spade spark spear spice spike spoon sport squad stage stair stamp stand steak steam steel stick stone
  stool storm story stove straw study style sugar suite swamp sweat sword syrup table teeth tempo thief thorn throw
  thumb tiger title toast token topic torch total tower track trade trail train treat trend trial tribe trick trout
  truck trunk trust truth tulip tutor uncle union valve vapor vault venue verse video villa viola virus visit vital
  voice wagon waist waste watch water whale wheat wheel whole width woman world wound wrist yacht yeast young youth
  zebra
`);

/** Words that may be guessed and are never the secret. */
const OTHERS: readonly string[] = listed(`
  aback abide about above abuse acorn acres acted acute adieu admit adobe adopt adore adorn aegis affix after again
  agile aging agree ahead aimed aisle alert alias alien align alike alive allow alloy aloft alone along aloud alpha
  altar alter amaze amend amigo among ample amuse anger ankle annoy antic anvil apart apply aptly areas arise aroma
  arose array ashen aside asked asset atlas atoll atone audio audit aunts avoid await awake aware awful awoke bands
  banks based bases basic batch beams beans bears beats began begin begun being belly below bends bible bills birds
  bland blank blast bleak bleed bless blink bliss blond blood blown blows blues bluff blunt blush boats bogus bones
  books boost boots bored borne bound bowls boxer boxes brawn break brews bribe bring brisk broad broke build built
  bulbs bulge bully burnt burst buses buyer cache cakes calls calms camps canal cards cared carry carve cases catch
  cater cause caves cease cells chant chaos cheap cheat check cheer chick chili chill chips choir choke chose chunk
  cigar cinch circa cited claim clash clasp class claws clear cleft climb cling clone close clove clubs clues coats
  codes coils coins comet comic conch cools cords cores corny could count coupe coves cramp crate crave crawl craze
  crazy creak creep crews cried cries crops cross crude cruel crush crypt cubic cured curly curry curse cyber daily
  dairy dared dated dates dealt death debit debut decay decks deeds defer deity delay delta delve dense depot depth
  derby desks devil dimly dirty disco ditch diver dizzy dolls donor doors doubt dozen drank drape drawl drawn draws
  dread dried drift drone drops drove drown drugs drums drunk dryer dusty dwarf dwell dying eager early earns easel
  eaten ebony edges edict eerie eight eject elate elect elite email empty enact ended endow enjoy ensue enter envoy
  epoch equip erase erect error erupt essay ether ethic evade every exact exalt excel exert exile exist expel faced
  faces facet facts faded fails faint falls false famed farms fatal favor fears feels fella felon fetch fewer fiery
  fifth fifty fight filed files filet fills final finch finds fired fires first fishy fists fixed fjord flags flair
  flake flaky flank flare flash flick flies fling flint flips flirt flows fluff fluid flung flunk flush foamy foggy
  folds folks folly foods foray forks forms forth forty found foxes frail frank fraud freak freed fried frill frisk
  frown froze fully fumes funds funny fused fussy fuzzy gains games gases gates gauge gaunt gavel gears geese genes
  genre ghost gifts girls given giver gives gland glare glaze gleam glean glide glint gloat gloom gloss glows glued
  goals goats going goods gorge grand grant grasp grave gravy graze great greed greet grief grime grind grins gripe
  grips groan groom gross grove growl grown grows gruff guess guilt guise gully gusty hairs hairy halls hands handy
  hangs happy hardy harsh haste hasty hatch hated hates haunt haven havoc hawks hazel heads heard hears heath heavy
  heels hefty heirs hello helps herbs herds heron hills hinge hints hoard hoist holds holes homes honor hoped hopes
  horns hosts hound hours hover howls humid hunch hurry husky hutch hydra hyena icing ideal ideas idiom idiot igloo
  imply inbox incur infer inner input ionic irate irony issue items ivies jaunt jeans joins joked joker jokes jolly
  joust juicy jumbo jumps jumpy juror karma kayak kebab kelps khaki kicks kinds kings kiosk kites knack knead kneel
  knees knelt knits knobs knots known knows koala laced laden ladle lakes lamps lands lanes lapse lasso lasts later
  laugh lawns leads leafy leaks leans leapt learn lease least leave legal lends lifts liked likes limbs limit lined
  liner lines links lions lists lived lives loads loans loath locks lofty looks loops loose lords loser loses lousy
  loved lover loves lower loyal lucid lucky lumps lunar lungs lurch lying lyric madam maids mails major maker makes
  manic marks masks mason mates maybe meals means meant meats meets melts menus merge merry messy metro micro midst
  might mills mimic minds mined miner mines minor minty minus misty mixed mixer modem moist molds moods moody moons
  moose mossy motel moths motif mourn moved mover moves mowed muddy mules murky mushy nails naive named names nasty
  naval needs needy nests never newer newly nicer niche niece ninja ninth nodes noisy nomad noted notes oasis oaths
  occur oddly offer often older omega onset opens opted optic other ought ouija ounce outdo ovals ovary overt owned
  owner packs pages pains pairs palms panda panic pants parks parts passe paths patio payer peaks pears penal perch
  peril perky pests petal petty picks piles pills pinch pines pinks pints pious pipes pique pivot pixel plaid plank
  plans plays plead plots pluck plugs plumb plume plump plums plush poems poets poise poles polls ponds pools pores
  ports posed poses posts pours prank prawn prays preen prick prime print prior prism privy probe prone props prose
  proud prove prowl proxy prude prune psalm pulls pumps punch pupal puree purge quack quail quake qualm quart quasi
  queer query queue quill quirk quite quote races racks rafts raged raids rails rainy raise rally ramen ranks rapid
  rated rates ratio raven reads ready rebel recap reeds reefs refer reign reins relax relic remix renew rents repay
  repel reply rerun reset resin rests retro rhino rhyme rides right rigid rings rinse ripen risen rises risks risky
  roads roars roate robes rocks rocky roles rolls roofs rooms roomy roost roots ropes roses rotor rouge rowdy ruins
  ruled rules rumor rural rusty sadly safer sails saint sales salsa salts salty sandy saner satin saved saves savor
  savvy scald scalp scaly scamp scare scars scary scold scorn scrap screw scrub seals seams seats sedan seeds seeks
  seems seize sells sends sense serum serve seven sever shack shady shaft shake shaky shall shame shape share shave
  shawl shear sheds sheen sheer shift shine shiny ships shoes shook shoot shops shout shove shown shows showy shred
  shrug shuts siege sight sigma signs silky silly since sinks sites sixth sixty sized sizes skies skiff skimp skins
  skips slabs slack slain slang slant slash slave sleek sleet slept slick slide slime slimy sling slips slots slows
  slump slung slush smack smart smash smear smell smelt smirk smith snaps snare sneak sneer sniff snore snort snout
  snowy soaps soare sober socks soggy soils solar solid solve songs sonic sorry sorts souls soups spare spawn speak
  speck speed spell spend spent spicy spied spies spill spine spiny spite split spoil spoke spoof spook spool spots
  spout spray spree sprig spurn spurt squat squid stack staff stain stake stale stalk stall stank stare stark stars
  start stash state stays steal steed steep steer stems steps stern stiff still sting stink stint stock stoic stomp
  stood stoop stops store stork stout strap stray strip strut stuck stuff stump stung stunt suave suing suits sulky
  sunny super surge sushi swarm sways swear sweep sweet swell swept swift swims swine swing swirl swoop taken taker
  takes tales talks tally talon tamed tango tangy tanks taper tapes tares tasks taste tasty taunt taxes teach teams
  tears tease tells tempt tends tenor tense tenth tents terms tests thank theft their theme there these thick thigh
  thing think third those three threw throb thump tidal tides tight tiles timer times timid tires today tombs toned
  tones tonic tools tooth tours towel towns toxic toxin trace tract trait traps trash trays tread trees tried tries
  troll troop trote truce truly trump tubes tuned tuner tunes turns twang tweak tweed twice twigs twine twins twirl
  twist types udder ulcer ultra umbra unbox under undue unify unite units unity until upper upset urban urged usage
  users usher usual utter vague valet valid value vases vegan veins venom vigor vines vinyl viper viral visor vivid
  vocal vodka vogue voted voter votes vouch vowed vowel wafer waged wages waits waive wakes walks walls wants wards
  wares warms watts waved waves weary weave wedge weeds weeks weigh weird wells whack wharf where which whiff while
  whine whisk white whose widen wider widow wield wills winds windy wines wings wiped wires wiser witch witty wives
  woken women woods wooly words works worms worry worse worst worth would woven wrath wreck wring write wrong wrote
  yards yearn years yells yield yolks yours zesty zonal zones
`);

const GUESSES: ReadonlySet<string> = new Set([...SECRETS, ...OTHERS]);

/** All words that the game takes for English. */
export const WORDS: readonly string[] = [...GUESSES];

/** Whether it is a word, in small letters. */
export function isWord(text: string): boolean {
  return GUESSES.has(text);
}
