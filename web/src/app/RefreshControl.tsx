import { PauseCircleOutlined, PlayCircleOutlined, SyncOutlined } from '@ant-design/icons';
import { onlineManager, useIsFetching, useQueryClient } from '@tanstack/react-query';
import { Button, Dropdown, theme, Tooltip } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../components/format';
import { EVERY_S, useRefreshControl } from './refresh';

/** When the last answer came, and whether what was asked since has failed: then all that is shown is old. */
function useStaleSince(): number | null {
  const cache = useQueryClient().getQueryCache();
  const [since, setSince] = useState<number | null>(null);
  useEffect(
    () =>
      cache.subscribe((event) => {
        if (event.type !== 'updated') return;
        if (event.action.type === 'success') setSince(null);
        else if (event.action.type === 'error' && event.query.state.data !== undefined) setSince((at) => at ?? event.query.state.dataUpdatedAt);
      }),
    [cache],
  );
  return since;
}

export function RefreshControl() {
  const { t } = useTranslation();
  const format = useFormat();
  const queries = useQueryClient();
  const { everyS, isPaused, setEveryS, setPaused } = useRefreshControl();
  const isFetching = useIsFetching() > 0;
  const staleSince = useStaleSince();
  const label = isPaused ? t('refresh.paused') : t('refresh.every', { seconds: everyS });
  const { token } = theme.useToken();
  const color = staleSince !== null || !onlineManager.isOnline() ? token.colorError : isPaused ? token.colorWarning : token.colorSuccess;
  return (
    <div style={{ display: 'flex', gap: 4 }}>
      <Tooltip title={staleSince === null ? label : t('refresh.stale', { time: format.time(staleSince) })}>
        <Dropdown
          trigger={['click']}
          menu={{
            selectedKeys: isPaused ? [] : [String(everyS)],
            items: [
              { key: 'now', label: t('refresh.now'), icon: <SyncOutlined /> },
              { type: 'divider' },
              ...EVERY_S.map((seconds) => ({ key: String(seconds), label: t('refresh.every', { seconds }) })),
            ],
            onClick: ({ key }) => {
              if (key === 'now') void queries.invalidateQueries();
              else {
                setEveryS(Number(key));
                setPaused(false);
              }
            },
          }}
        >
          <Button aria-label={`${t('refresh.label')}: ${label}`} data-stale={staleSince !== null}>
            <span aria-hidden style={{ width: 8, height: 8, borderRadius: 4, background: color, opacity: isFetching ? 0.4 : 1 }} />
            <span className="num">{isPaused ? '–' : `${everyS} s`}</span>
          </Button>
        </Dropdown>
      </Tooltip>
      <Tooltip title={isPaused ? t('refresh.resume') : t('refresh.pause')}>
        <Button aria-label={isPaused ? t('refresh.resume') : t('refresh.pause')} aria-pressed={isPaused} icon={isPaused ? <PlayCircleOutlined /> : <PauseCircleOutlined />} onClick={() => setPaused(!isPaused)} />
      </Tooltip>
    </div>
  );
}
