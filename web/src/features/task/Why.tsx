import { useQuery } from '@tanstack/react-query';
import { Card, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getTasksTaskIdExplain } from '../../api/gen';
import { useLive } from '../../app/refresh';
import { Loaded } from '../../components/basics';
import { useFormat } from '../../components/format';
import { detailOf } from './why';

export function Why({ id }: { id: number }) {
  const { t } = useTranslation('task');
  const format = useFormat();
  const query = useQuery({ queryKey: ['explain', id], queryFn: ({ signal }) => body(getTasksTaskIdExplain({ path: { task_id: id }, signal, throwOnError: true })), ...useLive(2) });
  return (
    <Card size="small" title={t('why.title')}>
      <Loaded query={query} rows={3}>
        {({ ahead, model, reasons, expected_start }) => (
          <>
            {ahead !== null && <p style={{ marginTop: 0 }}>{t('why.ahead', { count: ahead })}</p>}
            <ul style={{ margin: 0, paddingInlineStart: 18 }}>
              {reasons.map((reason) => (
                <li key={`${reason.code}${reason.endpoint}`}>{t(`why.reason.${reason.code}`)} {reason.until && <Typography.Text type="secondary">({t('why.until', { time: format.time(reason.until) })})</Typography.Text>}
                  <Typography.Text type="secondary" style={{ display: 'block' }}>{detailOf(t, reason, model, format.money)}</Typography.Text>
                </li>
              ))}
            </ul>
            <p style={{ marginBottom: 0 }}>
              {expected_start ? t('why.expected', { likely: format.time(expected_start.likely_at), earliest: format.time(expected_start.earliest_at), latest: format.time(expected_start.latest_at) }) : t('why.unknown')}
            </p>
          </>
        )}
      </Loaded>
    </Card>
  );
}
