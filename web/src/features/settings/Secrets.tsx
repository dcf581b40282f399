import { useQuery } from '@tanstack/react-query';
import { Alert, App, Button, Card, Progress, Space, Table, Tag, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getSystemSecrets, getSystemSecretsRotate, postAuthSigningKeysRotate, postSystemSecretsRotate, type SecretKeyShown } from '../../api/gen';
import { EmptyState, Loaded, Moment } from '../../components/basics';
import { useFormat } from '../../components/format';
import { Facts, Section, useChange } from './parts';

const COLOR = { in_force: 'success', old: 'default', missing: 'error' } as const;
const EVERY_MS = 1_000;

function Rotation() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const format = useFormat();
  const query = useQuery({
    queryKey: ['rotation'],
    queryFn: ({ signal }) => body(getSystemSecretsRotate({ signal, throwOnError: true })),
    refetchInterval: ({ state }) => (state.data?.rotation?.status === 'running' ? EVERY_MS : false),
  });
  const rotate = useChange(() => body(postSystemSecretsRotate({ throwOnError: true })));
  const ask = () => void modal.confirm({ title: t('secrets.rotate'), content: t('secrets.rotateHint'), okText: t('secrets.rotate'), cancelText: words('action.cancel'), onOk: () => rotate.mutateAsync(undefined).catch(() => undefined) });
  const isRunning = query.data?.rotation?.status === 'running';
  return (
    <Card size="small" title={t('secrets.rotation')} extra={<Button size="small" disabled={isRunning} loading={rotate.isPending} onClick={ask}>{t('secrets.rotate')}</Button>}>
      <Loaded query={query} rows={2}>
        {({ rotation }) => rotation === null ? <Typography.Text type="secondary">{t('secrets.never')}</Typography.Text> : (
          <div role="status" style={{ display: 'grid', gap: 8 }}>
            <Progress percent={rotation.total ? Math.round((100 * rotation.done) / rotation.total) : rotation.status === 'completed' ? 100 : 0} status={rotation.status === 'running' ? 'active' : rotation.status === 'failed' ? 'exception' : 'success'} aria-label={t('secrets.rotation')} />
            <Facts
              rows={[
                [t('secrets.status'), t(`secrets.statuses.${rotation.status}`)],
                [t('secrets.done'), `${format.number(rotation.done)} / ${format.number(rotation.total)}`],
                [t('secrets.key'), <span key="k" className="mono">{rotation.key_id}</span>],
                [t('secrets.started'), <Moment key="s" at={rotation.started_at} />],
              ]}
            />
            {rotation.unreadable > 0 && <Alert type="warning" showIcon title={t('secrets.unreadable', { count: rotation.unreadable })} />}
            {rotation.error && <Alert type="error" showIcon title={rotation.error} />}
          </div>
        )}
      </Loaded>
    </Card>
  );
}

/** The key that signs access tokens: people's sign-ins, not API keys. */
function Signing() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const rotate = useChange((keep_old: boolean) => body(postAuthSigningKeysRotate({ body: { keep_old }, throwOnError: true })), { told: ({ kid }) => t('secrets.signed', { kid }) });
  const ask = (keepsOld: boolean) =>
    void modal.confirm({ title: t(keepsOld ? 'secrets.sign' : 'secrets.signStolen'), content: t(keepsOld ? 'secrets.signHint' : 'secrets.signStolenHint'), okText: t(keepsOld ? 'secrets.sign' : 'secrets.signStolen'), cancelText: words('action.cancel'), okButtonProps: { danger: !keepsOld }, onOk: () => rotate.mutateAsync(keepsOld).catch(() => undefined) });
  return (
    <Card size="small" title={t('secrets.signing')}>
      <Typography.Paragraph type="secondary">{t('secrets.signingHint')}</Typography.Paragraph>
      <Space wrap>
        <Button onClick={() => ask(true)}>{t('secrets.sign')}</Button>
        <Button danger onClick={() => ask(false)}>{t('secrets.signStolen')}</Button>
      </Space>
    </Card>
  );
}

export default function Secrets() {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const query = useQuery({ queryKey: ['secrets'], queryFn: ({ signal }) => body(getSystemSecrets({ signal, throwOnError: true })) });
  return (
    <Section title={t('section.secrets')} sub={t('secrets.sub')}>
      <Card size="small" title={t('secrets.keys')} styles={{ body: { padding: 0 } }}>
        <Loaded query={query}>
          {({ keys }) => (
            <Table<SecretKeyShown>
              size="small"
              rowKey="key_id"
              dataSource={keys}
              pagination={false}
              locale={{ emptyText: <EmptyState title={t('secrets.none')} /> }}
              columns={[
                { title: t('secrets.key'), render: (_, { key_id }) => <span className="mono">{key_id}</span> },
                { title: t('secrets.state'), width: 130, render: (_, { state }) => <Tag color={COLOR[state]}>{t(`secrets.states.${state}`)}</Tag> },
                { title: t('secrets.sealed'), width: 110, align: 'right', className: 'num', render: (_, { secrets }) => format.number(secrets) },
              ]}
            />
          )}
        </Loaded>
      </Card>
      <Rotation />
      <Signing />
    </Section>
  );
}
