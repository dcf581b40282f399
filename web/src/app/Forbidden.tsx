import { useTranslation } from 'react-i18next';
import { ApiProblem } from '../api/problem';
import { ErrorView } from '../components/basics';

/** In the place of a view that the one who is signed in may not see. */
export default function Forbidden() {
  const { t } = useTranslation();
  return <ErrorView error={new ApiProblem(403, { detail: t('error.forbidden') })} />;
}
