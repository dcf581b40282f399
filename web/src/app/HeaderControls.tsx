import { Account } from './Account';
import { LanguageChoice, ThemeChoice } from './choices';
import { RefreshControl } from './RefreshControl';

/** What stands at the right of the header; in a chunk of its own, for the page needs none of it to be read. */
export default function HeaderControls({ isWide }: { isWide: boolean }) {
  return (
    <>
      <RefreshControl />
      {isWide && <LanguageChoice />}
      {isWide && <ThemeChoice />}
      <Account hasChoices={!isWide} />
    </>
  );
}
